/**
 * Ends a process that the launcher started when the launcher is gone, killed say, and can pass no signal on: the
 * channel between them is closed then. Loaded before the command line.
 *
 * @module
 */

if (process.channel) {
  // As the signal that the launcher would have passed on: a run is saved, a worker leaves.
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  // The channel alone keeps nobody running.
  process.channel.unref();
}
