import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Program, findProgram } from '../src/client/program.js';

const run = promisify(execFile);
const VERSION = 'v1.8.0';

/** An S3 server that checks signatures and policies, and keeps versions: Versity's gateway over a directory. */
const s3Server: Program = {
  name: 'lab-s3',
  setting: 'CHOM_LAB_S3',
  cached: `lab-s3-${VERSION.slice(1)}-2`,
  sources: [
    {
      doing: `building github.com/versity/versitygw ${VERSION} with Go (1 to 3 minutes, once)`,
      async fill(directory) {
        await writeFile(join(directory, 'go.mod'), MODULE);
        await writeFile(join(directory, 'main.go'), MAIN);
        const environment = { ...process.env, GOOS: '', GOFLAGS: '', GO111MODULE: 'on', CGO_ENABLED: '0' };
        const build = ['build', '-mod=mod', '-trimpath', '-ldflags=-s -w', '-o', 'lab-s3', '.'];
        await run('go', build, { cwd: directory, env: environment, maxBuffer: 64 << 20 });
      },
    },
  ],
};

/** Path of the S3 server. */
export async function s3ServerProgram(): Promise<string> {
  return await findProgram(s3Server);
}

const MODULE = `module lab

go 1.25.0

require github.com/versity/versitygw ${VERSION}
`;

/** Its own command brings the clients of three clouds, and takes a third longer to build. */
const MAIN = `package main

import (
	"context"
	"log"
	"os"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

func main() {
	directory, port, certificate, key := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	backend, err := posix.New(directory+"/buckets", meta.XattrMeta{}, posix.PosixOpts{VersioningDir: directory + "/versions"})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(embedgw.RunVersityGW(context.Background(), backend, &embedgw.Config{
		RootUserAccess: "lab-root", RootUserSecret: os.Getenv("LAB_S3_SECRET"), Region: "lab-1",
		Ports: []string{port}, CertFile: certificate, KeyFile: key, IAMDir: directory + "/users",
		MaxConnections: 1000, MaxRequests: 500, MultipartMaxParts: 10000, Quiet: true, KeepAlive: true,
		// Without an interval, which its own command sets, its cache of users is pruned without a pause: a core of its own.
		IAMCacheDisable: true,
	}))
}
`;
