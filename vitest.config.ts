import { defineConfig } from 'vitest/config';

// Each test file gets its own process: a GPU device lives for the life of its process (see src/gpu/device.ts).
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/long/**', 'test/runtimes/**', 'node_modules/**'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
