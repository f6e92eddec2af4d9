// The official test suites of Engine.IO and Socket.IO against the daemon's test profile.
//   node protocol.mjs PROGRAM
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { start } from './daemon.mjs'

const [program] = process.argv.slice(2)
const here = import.meta.dirname
const { base } = await start(program, { SOCIALHUB_REALTIME__PROTOCOL_TEST_PROFILE: 'true' })

for (const [suite, wanted] of [['engine.io-v4', 25], ['socket.io-v5', 32]]) {
  const text = readFileSync(join(here, 'protocol', `${suite}.js`), 'utf8')
  assert.ok(text.includes('"http://localhost:3000"'), `${suite} names the address where it did`)
  const file = join(here, 'protocol', `${suite}.here.js`)
  writeFileSync(file, text.replace('"http://localhost:3000"', JSON.stringify(base)))
  const mocha = spawn(process.execPath, [join(here, 'node_modules/mocha/bin/mocha.js'), '--exit', '--reporter', 'json', file])
  let report = ''
  mocha.stdout.on('data', (data) => (report += data))
  mocha.stderr.pipe(process.stderr)
  await new Promise((resolve) => mocha.on('close', resolve))
  rmSync(file)
  const { stats, failures } = JSON.parse(report.slice(report.indexOf('{\n  "stats"')))
  for (const failure of failures) console.error(`${suite}: ${failure.fullTitle}: ${failure.err.message}`)
  console.log(`${suite}: ${stats.passes} of ${stats.tests} tests passed`)
  assert.equal(stats.failures, 0, suite)
  assert.equal(stats.passes, wanted, `${suite}: all of them were run`)
}
process.exit(0)
