/** Which of a file's tracks was analysed, and whether this browser shows it with the analysis' times. */

import { EncodedPacketSink, type Input, type InputVideoTrack, VideoSampleSink } from "mediabunny";
import type { FrameTable } from "./frame_table.ts";

const PROBES = 5;

/** The track that was analysed: of its size, and with a picture at the first frame's time. */
export async function findTrack(input: Input, table: FrameTable): Promise<InputVideoTrack> {
  const { width, height } = table.header;
  let reason = "it finds no video of the size that was analysed";
  for (const track of await input.getVideoTracks()) {
    const [shownWidth, shownHeight] = [await track.getDisplayWidth(), await track.getDisplayHeight()];
    if (Math.abs(shownWidth / shownHeight / (width / height) - 1) > 0.02) {
      continue;
    }
    if (!(await track.canDecode())) {
      reason = `it does not decode ${(await track.getCodecParameterString()) ?? "this codec"}`;
      continue;
    }
    const sample = await new VideoSampleSink(track).getSample(table.middleOf(0));
    if (sample) {
      table.beginAt(sample.timestamp);
    }
    const found = sample && table.find(sample.timestamp);
    sample?.close();
    if (found === 0 && (await hasTimes(track, table))) {
      return track;
    }
    reason = "it finds other times in the video than the analysis did";
  }
  throw new Error(reason);
}

/** Whether the file's packets have the times of a few frames all over the video: not where an edit list cuts it. */
async function hasTimes(track: InputVideoTrack, table: FrameTable): Promise<boolean> {
  const packets = new EncodedPacketSink(track);
  const last = table.frames - 1;
  for (let part = 1; part <= PROBES; part++) {
    const frame = Math.round((last * part) / PROBES);
    const packet = await packets.getPacket(table.middleOf(frame), { metadataOnly: true });
    if (!packet || table.find(packet.timestamp) !== frame) {
      return false;
    }
  }
  return true;
}
