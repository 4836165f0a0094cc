import { readFile } from 'node:fs/promises';

/**
 * Draws a run of the demo as a terminal, for the README:
 * `npm run -s demo > demo.log; node --import tsx scripts/picture.ts demo.log > docs/demo.svg`.
 * It keeps a site and a restore whose workers are killed, and the table of times.
 */
const FONT_SIZE = 13;
const CHARACTER = 7.82;
const LINE = 19;
const MARGIN = 20;
const TITLE = 34;

const COLOURS: [begins: RegExp, colour: string][] = [
  [/^\$ /, '#ffffff'],
  [/^\s*✔/, '#7ee787'],
  [/^\s*▶/, '#79c0ff'],
  [/^\s*(⚡|The worker ended)/, '#ffa657'],
  [/^\s*…/, '#8b949e'],
  [/succeeded/, '#7ee787'],
];

/** The lines that the picture shows of all that the demo printed. */
function cut(printed: string): string[] {
  const [before = '', table = ''] = printed.split(/\n\n(?=a bare Debian)/);
  const sections = before.split(/\n(?=\$ chom )/).map((section) => section.split('\n'));
  const kept = sections.filter(([command = '']) => /^\$ chom (site create .*--type php|backup restore)/.test(command));
  const shown = kept.map((lines) => progress(lines).map((line) => shorten(line)));
  const times = table.slice(0, table.indexOf('\n\n')).split('\n');
  return [...shown.flatMap((lines) => [...lines, '']), ...times];
}

/** Without the facts at the end and what was skipped, without steps' beginnings that say no more than their ends, and one line for a child. */
function progress(lines: string[]): string[] {
  const told = lines.filter((line) => /^(\$ |\s+[^\s–])/.test(line));
  const inside = told.filter((line) => /^ {4}✔/.test(line)).length;
  const next = (index: number) => told[index + 1]?.replace('✔', '▶') ?? '';
  return told.flatMap((line, index) => {
    if (/^ {4}/.test(line)) return /^ {4}/.test(told[index - 1] ?? '') ? [] : [`    … ${inside} steps`];
    return /^ *▶/.test(line) && (next(index).startsWith(line) || /^ {4}/.test(next(index))) ? [] : [line];
  });
}

function shorten(line: string): string {
  return line.replaceAll(/\/tmp\/chom-demo-\w+\//g, '').replace(/(SHA256:.{12})\S+/, '$1…');
}

function draw(lines: string[]): string {
  const width = Math.ceil(Math.max(...lines.map(({ length }) => length)) * CHARACTER + 2 * MARGIN);
  const height = TITLE + lines.length * LINE + MARGIN;
  const text = lines.map((line, index) => {
    const colour = COLOURS.find(([begins]) => begins.test(line))?.[1] ?? '#c9d1d9';
    return `<text x="${MARGIN}" y="${TITLE + (index + 1) * LINE}" fill="${colour}">${escape(line)}</text>`;
  });
  const lights = ['#ff5f57', '#febc2e', '#28c840'].map(
    (c, n) => `<circle cx="${20 + 18 * n}" cy="18" r="5.5" fill="${c}"/>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">
<title>A run of npm run demo: a site and a restore survive the deaths of their workers</title>
<rect width="${width}" height="${height}" rx="8" fill="#0d1117"/>
${lights.join('')}
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="${FONT_SIZE}" xml:space="preserve">
${text.join('\n')}
</g>
</svg>
`;
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

process.stdout.write(draw(cut(await readFile(process.argv[2] ?? 'demo.log', 'utf8'))));
