// Loaded into a worker before anything else: its appends do everything that the audit service's do, but for the tree.
import { register } from 'node:module';

register('./without-tree-hooks.js', import.meta.url);
