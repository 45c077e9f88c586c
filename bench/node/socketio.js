// An echo and a room in Socket.IO: node socketio.js PORT

import { Server } from "socket.io";

const io = new Server({ transports: ["websocket"], pingInterval: 86_400_000, perMessageDeflate: false });

io.on("connection", (socket) => {
  socket.on("join", (room) => {
    socket.join(room);
    socket.emit("ready");
  });
  socket.on("echo", (message) => socket.emit("echo", message));
  socket.on("say", (message) => io.to("bench").emit("said", message));
});
io.listen(Number(process.argv[2]));
