// A daemon for one test: on the loopback interface, in a directory of its own, gone with the test.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

// By how many hubs the sockets are served, where the tests' environment says so.
const { SOCIALHUB_REALTIME__HUBS } = process.env
const hubs = SOCIALHUB_REALTIME__HUBS ? { SOCIALHUB_REALTIME__HUBS } : {}

// `settings` are environment variables. Tells the address, and a directory for what else the test writes.
export async function start(program, settings = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'socialhub-clients-'))
  const daemon = spawn(program, ['serve'], {
    env: { PATH: process.env.PATH, SOCIALHUB_DATA_DIR: join(dir, 'data'), SOCIALHUB_LISTEN: '127.0.0.1:0', ...hubs, ...settings },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  // However this ends, nothing stays behind: a signal by itself would end it without `exit`.
  process.on('exit', () => {
    daemon.kill('SIGKILL')
    rmSync(dir, { recursive: true, force: true })
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1))

  for await (const line of createInterface({ input: daemon.stdout, signal: AbortSignal.timeout(30_000) })) {
    const found = line.match(/listening\s+(http\S+)/)
    if (found) return { base: found[1], dir }
  }
  throw new Error('the daemon did not start')
}

// The headers of somebody who has just signed up.
export async function signUp(base, name) {
  const reply = await fetch(`${base}/auth/signup`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name, username: name.toLowerCase(), email: `${name}@example.org`, password: 'Password123!' }),
  })
  assert.equal(reply.status, 201, `signing up: ${reply.status}`)
  return { authorization: `Bearer ${(await reply.json()).token}` }
}
