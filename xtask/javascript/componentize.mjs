// Makes a component of a script: node componentize.mjs SCRIPT WIT WORLD COMPONENT
import { writeFile } from 'node:fs/promises';
import { componentize } from '@bytecodealliance/componentize-js';

const [sourcePath, witPath, worldName, target] = process.argv.slice(2);
const { component } = await componentize({
  sourcePath,
  witPath,
  worldName,
  // Steps do not use the network by way of fetch; what is left out is not imported.
  disableFeatures: ['http', 'fetch-event'],
});
await writeFile(target, component);
