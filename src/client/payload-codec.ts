import type { Payload, PayloadCodec } from '@temporalio/common';
import { METADATA_ENCODING_KEY, encodingKeys } from '@temporalio/common/lib/converter/types.js';
import proto from '@temporalio/proto';
import type { Keyring } from '../inventory/keyring.js';
import { unreadable } from '../workflows/unreadable.js';

const ENCODING = Buffer.from('binary/chom-sealed');
const CONTEXT = 'temporal-payload';
const { Payload: PayloadMessage } = proto.temporal.api.common.v1;

/**
 * Seals everything that goes to Temporal with AES-256-GCM, and opens what comes back. Decoding never throws and never
 * passes plaintext through: what was not sealed with a held key becomes `Unreadable`.
 */
export function payloadCodec(keyring: Keyring): PayloadCodec {
  return {
    encode: async (payloads) => payloads.map((payload) => encode(keyring, payload)),
    decode: async (payloads) => payloads.map((payload) => decode(keyring, payload)),
  };
}

function encode(keyring: Keyring, payload: Payload): Payload {
  const plain = PayloadMessage.encode(payload).finish();
  return {
    metadata: { [METADATA_ENCODING_KEY]: ENCODING },
    data: keyring.sealBytes(Buffer.from(plain), CONTEXT),
  };
}

function decode(keyring: Keyring, payload: Payload): Payload {
  const encoding = payload.metadata?.[METADATA_ENCODING_KEY];
  if (!encoding || !payload.data || !ENCODING.equals(encoding)) return refused('not sealed');
  try {
    return PayloadMessage.decode(keyring.openBytes(Buffer.from(payload.data), CONTEXT));
  } catch {
    return refused('sealed with a key that is not held, or altered');
  }
}

function refused(reason: string): Payload {
  return {
    metadata: { [METADATA_ENCODING_KEY]: encodingKeys.METADATA_ENCODING_JSON },
    data: Buffer.from(JSON.stringify(unreadable(reason))),
  };
}
