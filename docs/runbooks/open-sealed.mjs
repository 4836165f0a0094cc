// Opens what CHOM sealed to the recovery key, with Node alone and nothing of CHOM:
//   node open-sealed.mjs FILE <recovery-key.txt
// FILE holds `chom-recovery1.EPHEMERAL.BODY`; the recovery key is `CHOM-RECOVERY-PRIVATE-` and 86 characters.
// X25519 (RFC 7748) between the recovery key and the ephemeral one, HKDF-SHA256 without salt, AES-256-GCM:
// BODY is nonce (12 bytes), tag (16), ciphertext, in base64url as all else.
import { createDecipheriv, createPrivateKey, createPublicKey, diffieHellman, hkdfSync } from 'node:crypto';
import { readFileSync } from 'node:fs';

const [, d, x] = /CHOM-RECOVERY-PRIVATE-([\w-]{43})([\w-]{43})/.exec(readFileSync(0, 'utf8'));
const [format, ephemeral, body] = readFileSync(process.argv[2], 'utf8').trim().split('.');
const jwk = (key) => ({ key: { kty: 'OKP', crv: 'X25519', ...key }, format: 'jwk' });
const secret = diffieHellman({
  privateKey: createPrivateKey(jwk({ d, x })),
  publicKey: createPublicKey(jwk({ x: ephemeral })),
});
const key = Buffer.from(hkdfSync('sha256', secret, '', `${format}\0${ephemeral}\0${x}`, 32));
const bytes = Buffer.from(body, 'base64url');
const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12));
decipher.setAuthTag(bytes.subarray(12, 28));
process.stdout.write(Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]));
