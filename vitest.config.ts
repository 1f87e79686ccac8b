import { defineConfig } from 'vitest/config'

// unit: beside the source, no services. int: the promises, on real PostgreSQL, Kafka and Redis. types: compile errors that users should get.
export default defineConfig({
  test: {
    reporters: process.env['CI'] ? ['default', 'json'] : ['default'],
    outputFile: { json: '.test-results/results.json' },
    projects: [
      {
        test: {
          name: 'unit',
          include: [
            '{packages,internal}/*/src/**/*.test.ts',
            'conformance/src/**/*.test.ts',
            'docs/*.test.ts',
          ],
        },
      },
      {
        test: {
          name: 'int',
          globalSetup: ['./internal/stack/dist/vitest-global-setup.js'],
          include: [
            '{packages,internal,examples}/*/test/**/*.int.test.ts',
            '{conformance,chaos}/test/**/*.int.test.ts',
          ],
          testTimeout: 240_000,
          hookTimeout: 300_000,
          maxWorkers: 3, // they mostly wait, on two cores and up
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'types',
          include: [],
          typecheck: {
            enabled: true,
            only: true,
            include: ['packages/*/test/**/*.test-d.ts'],
            tsconfig: 'tsconfig.tests.json',
          },
        },
      },
    ],
  },
})
