import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { installPackages } from '../lab/packages.js';
import type { Contender } from './rounds.js';
import type { Setting } from './setting.js';
import { plainSite, type PlainSite } from './virtual-host.js';

const run = promisify(execFile);

/**
 * The same by a playbook of Debian's Ansible as its users are told to make it fast: pipelining, one connection kept open
 * (its default), and no facts gathered, which these steps do not need.
 */
export async function ansible({ host }: Setting): Promise<{ contender: Contender; end: () => Promise<void> }> {
  await installPackages({ 'ansible-playbook': 'ansible' });
  const { exit } = await host.exec('command -v python3');
  if (exit !== 0) throw new Error('the host has no Python, which Ansible needs there');
  const directory = await mkdtemp(join(tmpdir(), 'chom-bench-ansible-'));
  const [inventory, playbook] = [join(directory, 'inventory'), join(directory, 'site.json')];
  const [, config = ''] = host.sshArguments;
  const settings = `ansible_ssh_common_args='-F ${config}' ansible_python_interpreter=/usr/bin/python3`;
  await writeFile(inventory, `${host.name} ${settings}\n`);
  const environment = {
    ...process.env,
    LC_ALL: 'C.UTF-8',
    ANSIBLE_HOME: directory,
    ANSIBLE_LOCAL_TEMP: join(directory, 'tmp'),
    ANSIBLE_PIPELINING: '1',
    ANSIBLE_NOCOLOR: '1',
  };
  const contender = {
    name: 'Ansible',
    async once(turn: string) {
      // JSON is YAML.
      await writeFile(
        playbook,
        JSON.stringify([{ hosts: host.name, gather_facts: false, tasks: tasks(plainSite(turn)) }]),
      );
      await run('ansible-playbook', ['-i', inventory, playbook], { env: environment, cwd: directory });
    },
  };
  return { contender, end: async () => await rm(directory, { recursive: true, force: true }) };
}

function tasks({ user, domain, root, page, path, text }: PlainSite): object[] {
  const app = `${root}/app`;
  return [
    { user: { name: user, system: true, home: root, create_home: false, shell: '/usr/sbin/nologin' } },
    { file: { path: root, state: 'directory', mode: '0751' } },
    { file: { path: app, state: 'directory', owner: user, group: 'www-data', mode: '2750' } },
    { copy: { dest: `${app}/index.html`, content: page, owner: user, group: 'www-data', mode: '0640' } },
    { copy: { dest: path, content: text, mode: '0644' } },
    { command: 'nginx -t -q' },
    { systemd: { name: 'nginx', state: 'reloaded' } },
    {
      uri: { url: 'http://127.0.0.1/', headers: { Host: domain }, return_content: true },
      register: 'seen',
      until: `seen.content is defined and ${JSON.stringify(page.trim())} in seen.content`,
      retries: 50,
      delay: 0.1,
    },
  ];
}
