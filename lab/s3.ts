import { readFile } from 'node:fs/promises';
import type { LabHost } from './host.js';

const PORT = 8002;
const DIRECTORY = '/srv/s3';
const ROOT = 'lab-root:lab-root-secret';

/** What a user of a bucket may do. */
export interface BucketOrder {
  name: string;
  /** The storage keeps what is written over or deleted. */
  versioned: boolean;
  /** The user may delete nothing but restic's locks, and no version. */
  keeps: boolean;
}

/** S3 over TLS, in a region of its own: each bucket has one user, who has its name. */
export interface LabS3 {
  /** As restic takes it, without a bucket. */
  readonly url: string;
  /** Where its buckets lie on the host. */
  readonly path: string;
  /** May do everything in every bucket: `ACCESS_KEY_ID:SECRET_ACCESS_KEY`. */
  readonly owner: string;
  /** Makes a bucket and its user; returns `ACCESS_KEY_ID:SECRET_ACCESS_KEY`. */
  bucket(order: BucketOrder): Promise<string>;
}

export function labS3(host: LabHost): LabS3 {
  const base = `https://${host.address}:${PORT}`;
  async function ask(method: string, path: string, body = ''): Promise<void> {
    if (body.includes("'")) throw new Error(`a quote in ${body}`);
    const signed = `curl -ksSf --retry 20 --retry-connrefused --retry-delay 1 -u ${ROOT} --aws-sigv4 aws:amz:lab-1:s3 -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' -X ${method}`;
    const { exit, stderr } = await host.exec(`printf %s '${body}' >/tmp/s3-body
${signed} --data-binary @/tmp/s3-body -H 'Content-Type: application/octet-stream' -o /tmp/s3-answer '${base}${path}' || { cat /tmp/s3-answer >&2; exit 1; }`);
    if (exit !== 0) throw new Error(`${method} ${path}: ${stderr}`);
  }
  return {
    url: `s3:${base}`,
    owner: ROOT,
    path: `${DIRECTORY}/buckets`,
    async bucket({ name, versioned, keeps }) {
      const secret = `secret/of+${name}`;
      await ask(
        'PATCH',
        '/create-user',
        `<Account><Access>${name}</Access><Secret>${secret}</Secret><Role>user</Role></Account>`,
      );
      await ask('PUT', `/${name}`);
      if (versioned) {
        const status = '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>';
        await ask('PUT', `/${name}?versioning=`, status);
      }
      const allow = (Action: string[], path: string) => {
        const Resource = `arn:aws:s3:::${name}${path}`;
        return { Effect: 'Allow', Principal: { AWS: [name] }, Action, Resource };
      };
      const Statement = keeps
        ? [
            allow(['s3:ListBucket', 's3:GetBucketLocation'], ''),
            allow(['s3:GetObject', 's3:PutObject'], '/*'),
            allow(['s3:DeleteObject'], '/*/locks/*'),
          ]
        : [allow(['s3:*'], ''), allow(['s3:*'], '/*')];
      await ask('PUT', `/${name}?policy=`, JSON.stringify({ Version: '2012-10-17', Statement }));
      return `${name}:${secret}`;
    },
  };
}

/** What makes a store serve S3, beside its other files. */
export async function s3Files(program: string): Promise<(readonly [string, string | Buffer, number?])[]> {
  return [
    ['usr/local/bin/lab-s3', await readFile(program), 0o755],
    ['etc/systemd/system/s3.service', UNIT],
    ['etc/systemd/system/multi-user.target.d/s3.conf', '[Unit]\nWants=s3.service\n'],
  ];
}

const [, SECRET] = ROOT.split(':');
const UNIT = `[Unit]
After=network.target

[Service]
Environment=LAB_S3_SECRET=${SECRET}
ExecStartPre=mkdir -p ${DIRECTORY}/buckets ${DIRECTORY}/versions ${DIRECTORY}/users
ExecStart=/usr/local/bin/lab-s3 ${DIRECTORY} :${PORT} /etc/rest-server/certificate.pem /etc/rest-server/key.pem
Restart=on-failure
`;
