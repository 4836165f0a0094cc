/**
 * What each shell reads. They hand over the words as they stand, without evaluating them, and get lines of name, tabulator and
 * description; the last line says whether files may come (`:files`) or not (`:none`).
 */
export const COMPLETION_SCRIPTS = {
  bash: `# chom in bash. In ~/.bashrc: source <(chom completion bash)
_chom() {
  local IFS=$'\\n' lines how
  lines=($(chom complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)) || return
  how=\${lines[\${#lines[@]} - 1]}
  unset "lines[\${#lines[@]} - 1]"
  COMPREPLY=("\${lines[@]%%$'\\t'*}")
  if [ \${#COMPREPLY[@]} -eq 0 ] && [ "$how" = :files ]; then compopt -o default; fi
}
complete -F _chom chom
`,
  zsh: `#compdef chom
# chom in zsh. In a directory of fpath, as _chom; or: source <(chom completion zsh)
_chom() {
  local -a lines shown
  local how line
  lines=("\${(@f)$(chom complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  how=$lines[-1]
  lines=("\${(@)lines[1,-2]}")
  for line in $lines; do shown+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}"); done
  if (( \${#shown} )); then
    _describe chom shown
  elif [[ $how == :files ]]; then
    _files
  fi
}
if [ "\${funcstack[1]}" = _chom ]; then _chom; else compdef _chom chom; fi
`,
  fish: `# chom in fish. As ~/.config/fish/completions/chom.fish
function __chom_complete
  set -l words (commandline -opc)
  set -l typed (commandline -ct)
  set -a words "$typed"
  set -l lines (chom complete -- $words[2..-1] 2>/dev/null)
  set -l how $lines[-1]
  if test (count $lines) -gt 1
    printf '%s\\n' $lines[1..-2]
  else if test "$how" = :files
    __fish_complete_path (commandline -ct)
  end
end
complete -c chom -f -a '(__chom_complete)'
`,
} as const;

export type Shell = keyof typeof COMPLETION_SCRIPTS;
