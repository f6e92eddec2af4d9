// Chat by `socket.io-client`: over WebSockets, over long polling, and from the one to the other in mid-conversation.
//   node chat.mjs PROGRAM
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { io } from 'socket.io-client'
import { WebSocket } from 'ws'
import { signUp, start } from './daemon.mjs'

const [program] = process.argv.slice(2)
const { base } = await start(program)
const ada = await signUp(base, 'Ada')
const bob = await signUp(base, 'Bob')
const token = (person) => person.authorization.slice('Bearer '.length)

// A client that keeps what it was sent, and waits for more.
function connect(options) {
  const socket = io(base, { forceNew: true, reconnection: false, ...options })
  const seen = []
  const waiting = []
  socket.onAny((name, ...args) => {
    seen.push([name, ...args])
    for (const look of [...waiting]) look()
  })
  socket.next = (name) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no ${name}; seen: ${JSON.stringify(seen)}`)), 5_000)
      const look = () => {
        const at = seen.findIndex(([seenName]) => seenName === name)
        if (at < 0) return
        clearTimeout(timer)
        waiting.splice(waiting.indexOf(look), 1)
        resolve(seen.splice(at, 1)[0][1])
      }
      waiting.push(look)
      look()
    })
  socket.ask = (name, payload) => socket.timeout(5_000).emitWithAck(name, payload)
  socket.seen = seen
  return socket
}

async function refused(options) {
  const socket = connect(options)
  const [error] = await once(socket, 'connect_error')
  socket.close()
  return error
}

for (const [way, transports] of [
  ['websocket', ['websocket']],
  ['polling', ['polling']],
  ['polling, then websocket', ['polling', 'websocket']],
]) {
  const room = `room: ${way}`
  const one = connect({ transports, auth: { token: token(ada) } })
  const other = connect({ transports, auth: { token: bob.authorization } })
  const joined = await one.ask('join_room', { roomId: room })
  assert.deepEqual([joined.ok, joined.data.roomId, joined.data.lastNumber], [true, room, 0], way)
  assert.deepEqual(await one.next('message_history'), [])
  assert.equal((await one.next('room_users')).length, 1)
  assert.ok((await other.ask('join_room', { roomId: room })).ok)
  assert.equal((await one.next('user_joined')).roomId, room)
  assert.equal((await other.next('room_users')).length, 2)

  const sent = await other.ask('send_message', { roomId: room, message: 'Grüße 👋', client_id: 'a' })
  assert.equal(sent.data.number, 1)
  for (const socket of [one, other]) {
    for (const name of ['new_message', 'message']) {
      const message = await socket.next(name)
      assert.equal(message.message, 'Grüße 👋')
      assert.equal(message.roomId, room)
      assert.equal(message.username, 'bob')
      assert.equal(typeof message.timestamp, 'number')
    }
  }
  // Sent again, it is the same message, and nobody sees it twice.
  const again = await other.ask('send_message', { roomId: room, message: 'Grüße 👋', client_id: 'a' })
  assert.equal(again.data.id, sent.data.id)

  other.emit('typing', { roomId: room, isTyping: true })
  assert.deepEqual((await one.next('user_typing')).isTyping, true)
  if (transports.length > 1 && one.io.engine.transport.name !== 'websocket') await once(one.io.engine, 'upgrade')
  for (let number = 2; number <= 40; number++) one.emit('send_message', { roomId: room, message: `${number}` })
  for (let number = 2; number <= 40; number++) assert.equal((await other.next('new_message')).message, `${number}`, way)
  assert.ok(!other.seen.some(([name]) => name === 'user_typing'), 'one does not see oneself typing')

  // What was missed comes, and nothing twice.
  other.close()
  assert.equal((await one.next('user_left')).username, 'bob')
  await one.ask('send_message', { roomId: room, message: 'missed' })
  const back = connect({ transports, auth: { token: token(bob), events: 'v2' } })
  await back.ask('join_room', { roomId: room, lastSeen: 40 })
  assert.deepEqual((await back.next('message_history')).map((message) => message.message), ['missed'])
  await one.ask('send_message', { roomId: room, message: 'last' })
  assert.equal((await back.next('new_message')).message, 'last')
  assert.ok(!back.seen.some(([name]) => name === 'message'), 'who knows the new name gets that alone')

  // Refusals are told twice, and harm nobody.
  for (const [event, payload, code] of [
    ['join_room', undefined, 'invalid_body'],
    ['join_room', { roomId: 7 }, 'invalid_body'],
    ['join_room', { roomId: 'a\u0000b' }, 'invalid_fields'],
    ['join_room', { roomId: 'x'.repeat(129) }, 'invalid_fields'],
    ['join_room', { roomId: '1_2' }, 'forbidden'],
    ['leave_room', { roomId: 'nowhere' }, 'room_not_found'],
    ['send_message', { roomId: room, message: ' ' }, 'empty_message'],
    ['send_message', { roomId: room, message: 'x'.repeat(10_001) }, 'invalid_fields'],
    ['send_message', { roomId: room, message: Buffer.from('x') }, 'unexpected_file'],
    ['typing', undefined, 'invalid_body'],
    ['dance', {}, 'unknown_event'],
  ]) {
    const answer = await one.ask(event, payload)
    assert.deepEqual([answer.ok, answer.code], [false, code], `${event} ${JSON.stringify(payload)}`)
    assert.equal((await one.next('error')).code, code)
  }
  assert.ok((await one.ask('leave_room', { roomId: room })).ok)
  assert.equal((await one.ask('leave_room', { roomId: room })).code, 'not_in_room')
  for (const socket of [one, back]) socket.close()
  console.log(`chat over ${way}: as it should be`)
}

// Who one is can be said in three ways, and has to be.
for (const options of [
  { transports: ['websocket'], extraHeaders: ada },
  { transports: ['websocket'], query: { token: token(ada) } },
  { transports: ['polling'], extraHeaders: ada },
]) {
  const socket = connect(options)
  await once(socket, 'connect')
  socket.close()
}
assert.equal((await refused({ transports: ['websocket'] })).data.code, 'unauthenticated')
assert.equal((await refused({ transports: ['polling'], auth: { token: 'x' } })).data.code, 'unauthenticated')

// A session that ends takes its connections along.
const doomed = connect({ transports: ['websocket'], auth: { token: token(bob) } })
await once(doomed, 'connect')
// Not `once`, which takes our event of that name for a failure.
const gone = new Promise((resolve) => doomed.on('disconnect', resolve))
assert.equal((await fetch(`${base}/auth/logout`, { method: 'POST', headers: bob })).status, 200)
assert.equal((await doomed.next('error')).code, 'unauthenticated')
assert.equal(await gone, 'io server disconnect')

// The wscat session of the original's README: an event, and no CONNECT before it.
const bare = new WebSocket(`${base.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`, { headers: ada })
const heard = []
bare.on('message', (data) => heard.push(String(data)))
await once(bare, 'open')
bare.send('42["join_room",{"roomId":"general"}]')
bare.send('42["send_message",{"roomId":"general","message":"Hello"}]')
while (!heard.some((text) => text.startsWith('42["new_message"'))) await once(bare, 'message')
assert.ok(heard.findIndex((text) => text.startsWith('42["message_history",[]]')) > 0)
bare.close()
console.log('chat: who one is, ends of sessions, and the wscat session: as they should be')
process.exit(0)
