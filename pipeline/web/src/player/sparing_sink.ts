/**
 * Decodes with fewer pictures in hand: mediabunny 1.61 fills a decoder that has given none yet with 40 packets, which
 * are half a gigabyte of pictures of a 4K video. There is no option for it.
 */

import { VideoSampleSink } from "mediabunny";

/** Packets in the decoder; H.264 may hold 16 pictures back until it gives the first. */
const MOST_IN_HAND = 20;
/** What mediabunny never adds to. */
const FULL = 1000;

interface Timed {
  readonly timestamp: number;
}

/** A picture as mediabunny holds it. */
interface Sample extends Timed {
  readonly _data?: unknown;
  setTimestamp(seconds: number): void;
}

interface Decoder {
  getDecodeQueueSize(): number;
  decode(packet: Timed): void;
}

type OnSample = (sample: Sample) => unknown;
type CreateDecoder = (onSample: OnSample, onError: unknown) => Promise<Decoder>;

const createDecoder = (VideoSampleSink.prototype as unknown as { _createDecoder: CreateDecoder })._createDecoder;

export class SparingSink extends VideoSampleSink {
  /** Overrides what mediabunny has without declaring it; a test counts the pictures that are held. */
  async _createDecoder(onSample: OnSample, onError: unknown): Promise<Decoder> {
    let inHand: number[] = [];
    const given: OnSample = (sample) => {
      // mediabunny hands the packets' times out in order, and so gives a hidden packet's time to the picture after it.
      // The decoder's own picture has the time of the packet that it came from.
      if (sample._data instanceof VideoFrame) {
        sample.setTimestamp(sample._data.timestamp / 1e6);
      }
      // Pictures come in order, so packets of earlier times give none: they are hidden, or could not be decoded.
      inHand = inHand.filter((time) => time > sample.timestamp + 1e-6);
      return onSample(sample);
    };
    const decoder = await createDecoder.call(this, given, onError);
    const decode = decoder.decode.bind(decoder);
    const queued = decoder.getDecodeQueueSize.bind(decoder);
    decoder.decode = (packet) => {
      inHand.push(packet.timestamp);
      decode(packet);
    };
    decoder.getDecodeQueueSize = () => (inHand.length >= MOST_IN_HAND ? FULL : queued());
    return decoder;
  }
}
