/**
 * Asks Dawn for an adapter and prints the answer as one JSON line. It runs as a process of its own because a broken
 * Vulkan driver can take the whole process down.
 *
 * Output: `{"adapter": {...}}`, `{"adapter": null}`, or `{"loadError": "…"}` when npm `webgpu` itself does not load.
 */

/** @param {unknown} answer */
function answer(answer) {
  process.stdout.write(`${JSON.stringify(answer)}\n`, () => process.exit(0));
}

try {
  const { create } = await import('webgpu');
  const gpu = create([]);
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (adapter) {
    const { vendor, architecture, device, description } = adapter.info;
    const software = adapter.info.isFallbackAdapter || architecture === 'software' || architecture === 'swiftshader';
    answer({ adapter: { vendor, architecture, device, description, software } });
  } else {
    answer({ adapter: null });
  }
} catch (error) {
  answer({ loadError: error instanceof Error ? error.message : String(error) });
}
