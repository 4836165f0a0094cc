import { execFile } from 'node:child_process';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Program, type Source, findProgram } from '../src/client/program.js';
import { goInstall } from '../src/client/programs/go.js';
import { installPackages } from './packages.js';

const run = promisify(execFile);

const PEBBLE_VERSION = 'v2.10.1';
const pebbleSources = [
  goInstall(
    ['github.com/letsencrypt/pebble/v2/cmd/pebble', 'github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv'],
    PEBBLE_VERSION,
    '1 minute',
  ),
];

/** Let's Encrypt's test server. One on PATH is not used: Debian's lacks ARI, profiles and Retry-After. */
const pebble: Program = {
  name: 'pebble',
  setting: 'CHOM_PEBBLE',
  cached: `pebble-${PEBBLE_VERSION.slice(1)}`,
  sources: pebbleSources,
};

/** The DNS server beside Pebble. */
const challengeServer: Program = { ...pebble, name: 'pebble-challtestsrv', setting: 'CHOM_PEBBLE_CHALLTESTSRV' };

const TEST_SERVER_VERSION = '1.32.0';

/** Temporal's test server that skips time; the thin jar of Maven Central with its dependencies. */
const testServer: Program = {
  name: 'temporal-test-server',
  setting: 'CHOM_TEMPORAL_TEST_SERVER',
  cached: `temporal-test-server-${TEST_SERVER_VERSION}`,
  sources: [maven()],
};

/** Paths of Pebble and its DNS server, built into the cache when needed (`NotFound` when that fails). */
export async function acmePrograms(): Promise<{ pebble: string; challengeServer: string }> {
  return { pebble: await findProgram(pebble), challengeServer: await findProgram(challengeServer) };
}

/** Path for `TestWorkflowEnvironment`'s `existing-path` (`NotFound` when it cannot be got). Listens on loopback. */
export async function timeSkippingServer(): Promise<string> {
  return findProgram(testServer);
}

function maven(): Source {
  return {
    doing: `getting ${TEST_SERVER_VERSION} from Maven Central (about half a minute, once)`,
    async fill(directory) {
      await installPackages({ mvn: 'maven', javac: 'default-jdk-headless' });
      await writeFile(join(directory, 'pom.xml'), POM);
      const lib = join(directory, 'lib');
      const goal = ['-q', '-B', 'dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${lib}`];
      await run('mvn', goal, { cwd: directory, maxBuffer: 16 << 20 });
      await writeFile(join(directory, 'Loopback.java'), LOOPBACK);
      await run('javac', ['-cp', `${lib}/*`, '-d', directory, join(directory, 'Loopback.java')]);
      await writeFile(join(directory, 'temporal-test-server'), WRAPPER);
      await chmod(join(directory, 'temporal-test-server'), 0o755);
    },
  };
}

const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>chom</groupId><artifactId>lab</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>io.temporal</groupId><artifactId>temporal-test-server</artifactId>
      <version>${TEST_SERVER_VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
`;

/** The server's own main class listens on every address; this one on loopback. It takes the port, as the SDK gives it. */
const LOOPBACK = `
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.temporal.internal.testservice.TestServicesStarter;
import java.net.InetSocketAddress;

public class Loopback {
  public static void main(String[] arguments) throws Exception {
    InetSocketAddress address = new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0]));
    NettyServerBuilder builder = NettyServerBuilder.forAddress(address).maxInboundMessageSize(128 << 20);
    for (io.grpc.BindableService service : new TestServicesStarter(true, 0).getServices()) builder.addService(service);
    io.grpc.Server server = builder.build().start();
    Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow));
    server.awaitTermination();
  }
}
`;

const WRAPPER = `#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
exec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$here:$here/lib/*" Loopback "$@"
`;
