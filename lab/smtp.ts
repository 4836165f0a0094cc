import { createServer, type AddressInfo, type Socket } from 'node:net';
import { poll } from './poll.js';

/** A message that somebody handed in. */
export interface Message {
  /** The envelope's sender and recipients. */
  from: string;
  to: string[];
  /** Headers and body, as they came. */
  text: string;
}

/** An SMTP relay that keeps what it is given and sends nothing on. */
export interface SmtpSink {
  /** `address:port` */
  readonly relay: string;
  /** The first message to this recipient, once it is here. */
  message(to: string): Promise<Message>;
  close(): Promise<void>;
}

/** Listens on an address of this machine, for example a lab's bridge. */
export async function startSmtpSink(address: string): Promise<SmtpSink> {
  const messages: Message[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => socket.destroy());
    converse(socket, (message) => messages.push(message));
  });
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  const { port } = server.address() as AddressInfo;
  return {
    relay: `${address}:${port}`,
    message: async (to) =>
      await poll(`a message to ${to}`, 60_000, async () => messages.find((message) => message.to.includes(to))),
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** As much of RFC 5321 as a client needs that hands one message in after the other. */
function converse(socket: Socket, keep: (message: Message) => void): void {
  let heard = '';
  let message: Message = { from: '', to: [], text: '' };
  let reading = false;
  const say = (text: string) => socket.write(`${text}\r\n`);
  const take = (line: string) => {
    if (reading) {
      if (line !== '.') return void (message.text += `${line.replace(/^\./, '')}\n`);
      reading = false;
      keep(message);
      message = { from: '', to: [], text: '' };
      return say('250 kept');
    }
    const [, address = ''] = /<([^>]*)>/.exec(line) ?? [];
    const verb = line.slice(0, 4).toUpperCase();
    if (verb === 'MAIL') message.from = address;
    if (verb === 'RCPT') message.to.push(address);
    if (verb === 'DATA') reading = true;
    if (verb === 'QUIT') return void socket.end('221 bye\r\n');
    return say(verb === 'DATA' ? '354 go on' : '250 ok');
  };
  say('220 lab');
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    heard += chunk;
    for (let end = heard.indexOf('\r\n'); end !== -1; end = heard.indexOf('\r\n')) {
      const line = heard.slice(0, end);
      heard = heard.slice(end + 2);
      take(line);
    }
  });
}
