// What people would write with socket.io in an afternoon: rooms, and what is said in them to all who are there. It keeps
// nothing, and asks nobody who they are.
import { createServer } from 'node:http'
import { Server } from 'socket.io'
import { WebSocketServer } from 'ws'

const http = createServer()
const io = new Server(http, { wsEngine: WebSocketServer })
const rooms = new Map()
let users = 0
let messages = 0

io.on('connection', (socket) => {
  const userId = String(400000000000000000n + BigInt(users))
  const username = `person${users++}`

  socket.on('join_room', ({ roomId }, ack) => {
    socket.join(roomId)
    socket.emit('message_history', [])
    socket.emit('room_users', [userId])
    socket.to(roomId).emit('user_joined', { userId, username, roomId, timestamp: Date.now() })
    ack?.({ ok: true, data: { roomId, lastNumber: rooms.get(roomId) ?? 0, hasNewer: false } })
  })

  socket.on('send_message', ({ roomId, message }, ack) => {
    const number = (rooms.get(roomId) ?? 0) + 1
    rooms.set(roomId, number)
    const said = {
      roomId, userId, username, message, timestamp: Date.now(), id: String(400000000000000000n + BigInt(messages++)), number,
      name: username, avatar: `/media/avatars/${userId}`, client_id: null, replyTo: null, reactions: [], editedAt: null,
      isDeleted: false,
    }
    io.to(roomId).emit('new_message', said)
    ack?.({ ok: true, data: said })
  })
})

http.listen(0, '127.0.0.1', () => console.log(`listening http://127.0.0.1:${http.address().port}`))
