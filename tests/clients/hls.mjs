// hls.js in Chromium against the daemon, as in a web client under another host name: the sizes of a video, changes
// between them, seeking, a post that is not for all, and the MP4 beside.
//
//     node hls.mjs PROGRAM BROWSER [SCREENSHOT]
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { chromium } from 'playwright-core'
import { signUp, start } from './daemon.mjs'

const [program, executablePath, screenshot] = process.argv.slice(2)
const SECONDS = 8
const SIZES = ['426x240', '640x360', '854x480', '1280x720']

// The web client. The daemon allows `localhost`; the same page as `127.0.0.1` is a stranger to it.
const files = {
  '/': ['text/html', `<!doctype html>
    <meta charset="utf-8">
    <video autoplay muted controls width="640"></video>
    <script src="/hls.js"></script>
    <script>
      const video = document.querySelector('video')
      const errors = []
      let hls
      function play(address) {
        hls = new Hls()
        hls.on(Hls.Events.ERROR, (_, { details, fatal, response }) => errors.push({ details, fatal, code: response?.code }))
        hls.loadSource(address)
        hls.attachMedia(video)
      }
    </script>`],
  '/hls.js': ['text/javascript', readFileSync(createRequire(import.meta.url).resolve('hls.js/dist/hls.min.js'))],
}
const web = createServer(({ url }, response) => {
  const [type, body] = files[url] ?? []
  response.writeHead(body ? 200 : 404, { 'content-type': type ?? 'text/plain' }).end(body)
})
await once(web.listen(0, '127.0.0.1'), 'listening')
const { port } = web.address()
const [allowed, stranger] = [`http://localhost:${port}`, `http://127.0.0.1:${port}`]

const { base, dir } = await start(program, { SOCIALHUB_SERVER__CORS_ORIGINS: allowed })
const headers = await signUp(base, 'Ada')

async function call(path, init = {}) {
  const signal = AbortSignal.timeout(60_000)
  const reply = await fetch(base + path, { ...init, headers: { ...headers, ...init.headers }, signal })
  assert.ok(reply.ok, `${path}: ${reply.status} ${reply.ok ? '' : await reply.text()}`)
  return reply.json()
}

const clip = join(dir, 'clip.mp4')
const sources = ['-f', 'lavfi', '-i', 'testsrc2=size=1280x720:rate=25', '-f', 'lavfi', '-i', 'sine']
const coders = ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-c:a', 'aac']
execFileSync('ffmpeg', ['-loglevel', 'error', ...sources, '-t', SECONDS, ...coders, clip], { timeout: 60_000 })

// Posts the clip; its addresses, once it is converted.
async function post(visibility) {
  const form = new FormData()
  form.append('file', new Blob([readFileSync(clip)], { type: 'video/mp4' }), 'clip.mp4')
  const { media } = await call('/api/v1/media', { method: 'POST', body: form })
  const posted = await call('/posts', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ content: visibility, visibility, mediaIds: [media.id] }),
  })
  // The daemon's helpers are nice: on a busy machine they wait for all else.
  const deadline = Date.now() + 120_000
  for (;;) {
    const { media: { status }, progress } = await call(`/api/v1/media/${media.id}`)
    if (status === 'ready') break
    assert.equal(status, 'processing')
    assert.ok(progress >= 0 && progress <= 1, `how far it is: ${progress}`)
    assert.ok(Date.now() < deadline, `after two minutes the conversion is at ${progress}`)
    await pause(100)
  }
  return (await call(`/posts/${posted.post.id}`)).post.media[0]
}

const open = await post('public')
const closed = await post('followers')
assert.match(open.hlsUrl, /\/hls\/open\/master\.m3u8$/)
const signature = closed.hlsUrl.match(/\/hls\/(\d+-[\w-]+)\/master\.m3u8$/)?.[1]
assert.ok(signature, `a signed address: ${closed.hlsUrl}`)

// Without its sandbox, which root and many containers do not have: it shows nothing but this page. What it writes beside
// its profile goes with the rest.
const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--autoplay-policy=no-user-gesture-required'],
  env: { ...process.env, HOME: dir, TMPDIR: dir },
  timeout: 60_000,
})

async function page(origin) {
  const page = await browser.newPage()
  page.setDefaultTimeout(60_000)
  await page.goto(origin)
  return page
}

// Waits for what a function in the page tells; says what was the matter if it does not come.
async function until(page, what, condition, argument) {
  try {
    await page.waitForFunction(condition, argument)
  } catch (error) {
    const state = await page.evaluate(() => ({
      currentTime: video.currentTime, size: `${video.videoWidth}x${video.videoHeight}`, error: video.error?.message, errors,
    }))
    throw new Error(`${what}: ${error.message.split('\n')[0]} ${JSON.stringify(state)}`)
  }
}

async function plays(page) {
  await until(page, 'it plays', () => video.currentTime > 2)
  const seen = await page.evaluate(() => ({
    frames: video.getVideoPlaybackQuality().totalVideoFrames,
    sound: video.webkitAudioDecodedByteCount,
    seconds: video.duration,
  }))
  assert.ok(seen.frames > 0, 'frames are decoded')
  assert.ok(seen.sound > 0, 'sound is decoded')
  assert.ok(Math.abs(seen.seconds - SECONDS) < 0.5, `it is as long as the clip: ${seen.seconds}`)
}

async function ends(page) {
  await page.evaluate(() => { video.currentTime = video.duration - 0.5 })
  await until(page, 'it ends', () => video.ended)
}

async function playsLadder(address, screenshot) {
  const viewer = await page(allowed)
  await viewer.evaluate((address) => play(address), address)
  await plays(viewer)
  const levels = await viewer.evaluate(() => hls.levels.map(({ width, height, videoCodec, audioCodec }) => {
    return { size: `${width}x${height}`, codecs: `${videoCodec},${audioCodec}` }
  }))
  assert.deepEqual(levels.map(({ size }) => size), SIZES, 'all sizes, none above the source')
  for (const { codecs } of levels) assert.match(codecs, /^avc1\.[0-9a-f]{6},mp4a\.40\.2$/)
  for (const level of [SIZES.length - 1, 0, SIZES.length - 1]) {
    // Of the old size Chromium shows what it holds up to the next key frame, four seconds maybe, unless it seeks.
    await viewer.evaluate((level) => {
      hls.once(Hls.Events.BUFFER_FLUSHED, () => { video.currentTime = 0 })
      hls.currentLevel = level
    }, level)
    const shown = (size) => `${video.videoWidth}x${video.videoHeight}` === size && video.currentTime > 0.2
    await until(viewer, `it changes to ${SIZES[level]}`, shown, SIZES[level])
  }
  if (screenshot) await viewer.screenshot({ path: screenshot })
  await ends(viewer)
  const errors = await viewer.evaluate(() => errors)
  assert.deepEqual(errors.filter(({ fatal }) => fatal), [], 'nothing went wrong')
  await viewer.close()
}

async function playsFile(address) {
  const viewer = await page(allowed)
  await viewer.evaluate((address) => { video.src = address }, address)
  await plays(viewer)
  assert.equal(await viewer.evaluate(() => video.videoHeight), 720)
  await ends(viewer)
  await viewer.close()
}

// What hls.js makes of an address that does not open: the status, or 0 where the browser keeps the answer from it.
async function isRefused(origin, address, code) {
  const viewer = await page(origin)
  await viewer.evaluate((address) => play(address), address)
  await until(viewer, `${address} is refused`, () => errors.some(({ fatal }) => fatal))
  assert.deepEqual(await viewer.evaluate(() => errors), [{ details: 'manifestLoadError', fatal: true, code }])
  await viewer.close()
}

for (const { hlsUrl, url } of [open, closed]) {
  await playsLadder(hlsUrl, hlsUrl === open.hlsUrl ? screenshot : undefined)
  await playsFile(url)
}

const [expires, proof] = signature.split(/-(.*)/)
const forged = `${expires}-${proof[0] === 'A' ? 'B' : 'A'}${proof.slice(1)}`
const later = `${Number(expires) + 3600}-${proof}`
for (const key of ['open', forged, later]) {
  const address = closed.hlsUrl.replace(signature, key)
  for (const file of ['master.m3u8', '240p/index.m3u8', '240p/init.mp4', '240p/00000.m4s']) {
    const part = address.replace('master.m3u8', file)
    assert.equal((await fetch(part)).status, 403, part)
    assert.equal((await fetch(part.replace(key, signature))).status, 200, file)
  }
  await isRefused(allowed, address, 403)
}
assert.equal((await fetch(closed.url.split('?')[0])).status, 403, 'the file without its signature')
await isRefused(stranger, open.hlsUrl, 0)

await browser.close()
console.log('hls.js: all sizes, changes, seeking, signed addresses, another origin; MP4')
process.exit(0)
