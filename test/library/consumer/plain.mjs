/** All doors from JavaScript: prints the names that each one exports. */

for (const door of ['', '/server', '/safetensors', '/runtime']) {
  const names = Object.keys(await import(`subzero-webgpu${door}`)).sort();
  console.log(`${door || '.'}: ${names.join(' ')}`);
}
const inner = 'subzero-webgpu/dist/src/errors.js';
console.log(
  await import(inner).then(
    () => 'inner files can be imported',
    () => 'inner files are closed',
  ),
);
