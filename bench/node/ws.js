// An echo and a room on the ws package: node ws.js PORT

import { WebSocketServer } from "ws";

const members = new Set();
const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.argv[2]), perMessageDeflate: false });

server.on("connection", (socket, request) => {
  if (request.url === "/echo") {
    socket.on("message", (text) => socket.send(JSON.stringify(JSON.parse(text))));
    return;
  }
  members.add(socket);
  socket.on("close", () => members.delete(socket));
  socket.on("message", (text) => {
    const message = JSON.stringify(JSON.parse(text));
    for (const member of members) member.send(message);
  });
  socket.send("ready");
});
