// Describes the columns of a CSV table, in one pass and in constant memory for
// each column, apart from the distinct texts.

import { log, progress } from 'wharf:step/telemetry@0.1.0';

const CHUNK = 1 << 20;

export function run(data, profile) {
  const records = parse(lines(data));
  const header = records.next();
  if (header.done) throw 'the table is empty: it has no header';
  const columns = header.value.map((name) => new Column(name));
  let rows = 0;
  for (const record of records) {
    rows += 1;
    if (record.length !== columns.length) {
      throw `row ${rows}: ${record.length} columns where the header has ${columns.length}`;
    }
    record.forEach((cell, index) => columns[index].add(cell));
  }
  log('info', 'table read', [['rows', String(rows)], ['columns', String(columns.length)]]);
  profile.setMediaType('application/json');
  writeText(profile, `${JSON.stringify(columns.map((column) => column.summary()), null, 2)}\n`);
  return { rows, columns: columns.length };
}

/** What is known of one column; the variance is Welford's. */
class Column {
  constructor(name) {
    this.name = name;
    this.count = 0;
    this.missing = 0;
    this.numeric = true;
    this.min = Infinity;
    this.max = -Infinity;
    this.mean = 0;
    this.squares = 0;
    this.distinct = new Set();
  }

  add(cell) {
    const text = cell.trim();
    if (text === '') {
      this.missing += 1;
      return;
    }
    this.count += 1;
    this.distinct.add(text);
    if (this.numeric) this.addNumber(Number(text));
  }

  addNumber(value) {
    if (!Number.isFinite(value)) {
      this.numeric = false;
      return;
    }
    this.min = Math.min(this.min, value);
    this.max = Math.max(this.max, value);
    const delta = value - this.mean;
    this.mean += delta / this.count;
    this.squares += delta * (value - this.mean);
  }

  summary() {
    const { name, count, missing } = this;
    if (!this.numeric || count === 0) {
      return { name, type: 'text', count, missing, distinct: this.distinct.size };
    }
    const stddev = count > 1 ? Math.sqrt(this.squares / (count - 1)) : 0;
    return { name, type: 'number', count, missing, min: this.min, max: this.max, mean: this.mean, stddev };
  }
}

/** The lines of an artifact, without their ends. */
function* lines(input) {
  const size = input.size();
  const decoder = new TextDecoder();
  let rest = '';
  for (let offset = 0n; offset < size; ) {
    const bytes = input.read(offset, CHUNK);
    offset += BigInt(bytes.length);
    const parts = (rest + decoder.decode(bytes, { stream: offset < size })).split('\n');
    rest = parts.pop();
    for (const line of parts) yield line.replace(/\r$/, '');
    progress(offset, size, 'bytes');
  }
  if (rest !== '') yield rest.replace(/\r$/, '');
}

/** Records of cells; a quoted cell may go on over several lines. */
function* parse(source) {
  let pending = '';
  for (const line of source) {
    const text = pending === '' ? line : `${pending}\n${line}`;
    const isOpen = text.split('"').length % 2 === 0;
    pending = isOpen ? text : '';
    if (!isOpen) yield cells(text);
  }
  if (pending !== '') throw 'the table ends inside a quoted cell';
}

function cells(line) {
  if (!line.includes('"')) return line.split(',');
  const found = [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)];
  return found.map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain);
}

function writeText(output, text) {
  const bytes = new TextEncoder().encode(text);
  for (let start = 0; start < bytes.length; start += CHUNK) {
    output.write(bytes.subarray(start, start + CHUNK));
  }
}
