// The official tus client against the daemon: one upload in pieces, broken off and taken up again.
//
//     node tus.mjs PROGRAM FILE
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import * as tus from 'tus-js-client'
import { signUp, start } from './daemon.mjs'

const [program, file] = process.argv.slice(2)
const { base } = await start(program)
const headers = await signUp(base, 'Ada')

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
