import { defineConfig } from 'vitest/config';

// Checks that are too long for every change: statistics over seeds, crash tests, whole training runs.
export default defineConfig({
  test: {
    include: ['test/long/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 1_200_000,
    hookTimeout: 300_000,
  },
});
