import { describe, expect, it } from 'vitest';
import { commands } from '../../src/cli/commands/index.ts';
import { commandHelp, programHelp } from '../../src/cli/help.ts';
import { camelCase, environmentName } from '../../src/cli/option.ts';
import { parseBytes } from '../../src/format.ts';

describe('help of the program', () => {
  it('names every command with its summary', () => {
    const text = programHelp(commands, '1.2.3');
    expect(text).toContain('subzero 1.2.3');
    for (const command of commands) expect(text).toMatch(new RegExp(`^  ${command.name} +${command.summary}$`, 'm'));
  });
});

describe.each(commands)('help of $name', (command) => {
  const text = commandHelp(command);
  const flat = text.replace(/\s+/g, ' ');
  it('shows every option with its environment name, default, choices and bounds', () => {
    expect(command.options.length).toBeGreaterThan(0);
    for (const option of command.options) {
      expect(text).toMatch(new RegExp(`^  --(\\[no-\\])?${option.name}( |$)`, 'm'));
      expect(flat).toContain(option.description.replace(/\s+/g, ' '));
      expect(flat).toContain(`${environmentName(option.name)})`);
      if (option.type === 'text' && option.default) expect(flat).toContain(`default ${option.default};`);
      if (option.type === 'integer' && option.default !== undefined) {
        expect(flat).toContain(`default ${option.default};`);
      }
      if (option.type === 'bytes' && option.default) {
        const [, size] = /default ([^;]*);/.exec(flat.slice(flat.indexOf(` --${option.name} `))) ?? [];
        expect(size).toMatch(/^\d+[KMGT]iB$/);
        expect(parseBytes(size!)).toBe(option.default);
      }
      if ('choices' in option && option.choices) expect(flat).toContain(`one of ${option.choices.join(', ')}`);
    }
  });
  it('has usage, examples and no line wider than a page', () => {
    expect(text).toContain(`Usage: subzero ${command.name}`);
    expect(command.examples.length).toBeGreaterThan(0);
    for (const example of command.examples) expect(flat).toContain(example.command.replace(/\s+/g, ' '));
    for (const line of text.split('\n').filter((line) => !line.startsWith('    '))) {
      expect(line.length).toBeLessThanOrEqual(100);
    }
  });
  it('has option names that are unique, also in camel case', () => {
    const names = command.options.map((option) => camelCase(option.name));
    expect(new Set(names).size).toBe(names.length);
  });
});
