import { messageOf as reasonOf } from '../workflows/thrown.js';
import type { Message } from './message.js';
import type { Told } from './post.js';

export interface MailSettings {
  /** `smtp://user:password@host:587` or `smtps://…`. */
  smtpUrl: string;
  to: string;
  from: string;
}

/** An alert as a person reads it. */
export function alertText({ id, at, operation, tenant, server, site, data }: Message): {
  subject: string;
  text: string;
  messageId: string;
} {
  const { about, reason, severity, next } = data as Record<
    'about' | 'reason' | 'severity' | 'next',
    string | undefined
  >;
  const of = site?.domain ?? server?.name ?? tenant;
  const lines: [string, string | undefined][] = [
    ['what', about],
    ['severity', severity],
    ['site', site?.domain],
    ['server', server?.name],
    ['tenant', tenant],
    ['when', at],
    ['why', reason],
    // Of no operation of ours there is nothing to be shown.
    ['next', next ?? `chom op show ${operation}`],
  ];
  const told = lines.filter((line): line is [string, string] => line[1] !== undefined);
  return {
    subject: `[CHOM] ${about ?? 'Alert'}: ${of}`,
    text: `${told.map(([name, value]) => `${name.padEnd(10)}${value}`).join('\n')}\n`,
    // The same with every try, so that a mail system can tell a second one.
    messageId: `<${id}@chom>`,
  };
}

/** Sends it; never throws. */
export async function sendAlert(settings: MailSettings, message: Message, timeout: number): Promise<Told> {
  const { smtpUrl, to, from } = settings;
  const limits = { connectionTimeout: timeout, greetingTimeout: timeout, socketTimeout: timeout };
  const { createTransport } = await import('nodemailer');
  const transport = createTransport({ url: smtpUrl, ...limits });
  try {
    await transport.sendMail({ from, to, ...alertText(message) });
    return { ok: true };
  } catch (error) {
    return { ok: false, reason: reasonOf(error) };
  } finally {
    transport.close();
  }
}
