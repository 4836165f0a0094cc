import { connect, constants, createSecureServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';

/** A way into a Temporal server by TLS, for who has the key. */
export interface Gate {
  address: string;
  /** How many requests were let in. */
  passed(): number;
  close(): Promise<void>;
}

const UNAUTHENTICATED = '16';

/** `target`: `host:port` of the server, which speaks HTTP/2 without TLS. `key`, `cert`: PEM. */
export async function startGate(
  target: string,
  { key, cert, apiKey }: { key: string; cert: string; apiKey: string },
): Promise<Gate> {
  const inside = connect(`http://${target}`);
  inside.on('error', () => {});
  const sessions = new Set<ServerHttp2Session>();
  let passed = 0;
  const server = createSecureServer({ key, cert });
  server.on('session', (session) => void sessions.add(session));
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('error', () => {});
    if (headers.authorization !== `Bearer ${apiKey}`) {
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': UNAUTHENTICATED },
        { endStream: true },
      );
      return;
    }
    passed += 1;
    const further = inside.request(headers);
    further.on('error', () => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
    stream.on('close', () => further.close());
    let trailers = {};
    further.on('response', (answer, flags) => {
      const endStream = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
      stream.respond(answer, { endStream, waitForTrailers: !endStream });
    });
    further.on('trailers', (sent) => (trailers = sent));
    stream.on('wantTrailers', () => stream.sendTrailers(trailers));
    further.pipe(stream);
    stream.pipe(further);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    passed: () => passed,
    async close() {
      inside.destroy();
      for (const session of sessions) session.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
