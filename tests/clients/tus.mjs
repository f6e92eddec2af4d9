// The official tus client against the daemon: one upload in pieces, broken off and taken up again.
//
//     node tus.mjs PROGRAM FILE
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import * as tus from 'tus-js-client'

const [program, file] = process.argv.slice(2)
const dir = mkdtempSync(join(tmpdir(), 'socialhub-tus-'))
const daemon = spawn(program, ['serve'], {
  env: { PATH: process.env.PATH, SOCIALHUB_DATA_DIR: join(dir, 'data'), SOCIALHUB_LISTEN: '127.0.0.1:0' },
  stdio: ['ignore', 'pipe', 'ignore'],
})
// However this ends, nothing stays behind.
process.on('exit', () => {
  daemon.kill('SIGKILL')
  rmSync(dir, { recursive: true, force: true })
})

async function address() {
  for await (const line of createInterface({ input: daemon.stdout })) {
    const found = line.match(/listening\s+(http\S+)/)
    if (found) return found[1]
  }
  throw new Error('the daemon did not start')
}

const base = await address()
const reply = await fetch(`${base}/auth/signup`, {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ name: 'Ada', username: 'ada', email: 'ada@example.org', password: 'Password123!' }),
})
assert.equal(reply.status, 201)
const headers = { authorization: `Bearer ${(await reply.json()).token}` }

const bytes = readFileSync(file)
const options = {
  endpoint: `${base}/api/v1/media/uploads`,
  headers,
  chunkSize: Math.ceil(bytes.length / 5),
  metadata: { filename: 'a.mp4', filetype: 'video/mp4', alt: 'A film' },
  retryDelays: null,
}

// Broken off after the second piece.
const url = await new Promise((resolve, reject) => {
  let pieces = 0
  const upload = new tus.Upload(bytes, {
    ...options,
    onError: reject,
    onSuccess: () => reject(new Error('it should have been broken off')),
    onChunkComplete: () => {
      pieces += 1
      if (pieces === 2) upload.abort().then(() => resolve(upload.url), reject)
    },
  })
  upload.start()
})

// Taken up again, where it was.
let first = null
const last = await new Promise((resolve, reject) => {
  const upload = new tus.Upload(bytes, {
    ...options,
    uploadUrl: url,
    onError: reject,
    onProgress: (sent) => { first ??= sent },
    onSuccess: ({ lastResponse }) => resolve(lastResponse),
  })
  upload.start()
})
assert.ok(first >= 2 * options.chunkSize, `it began at ${first}`)
const id = last.getHeader('Media-Id')
const media = await (await fetch(`${base}/api/v1/media/${id}`, { headers })).json()
assert.equal(media.media.alt, 'A film')
assert.equal(media.media.sizeBytes, bytes.length)

// One that is given up is gone.
const given = await new Promise((resolve, reject) => {
  const upload = new tus.Upload(bytes, {
    ...options,
    onError: reject,
    onChunkComplete: () => upload.abort(true).then(() => resolve(upload.url), reject),
  })
  upload.start()
})
const gone = await fetch(given, { method: 'HEAD', headers: { ...headers, 'tus-resumable': '1.0.0' } })
assert.equal(gone.status, 404)
console.log('tus-js-client: pieces, a break, termination')
process.exit(0)
