export { Initial1764000000000, vaultGrants } from './1764000000000-initial.ts';
