// Which of the configured services a flow belongs to, and what the data plane is told of them. Pure.

import type { Assignment, SegmentName, ServiceConfig, Stickiness } from "../config/config.js";
import type { FlowService, FlowTuple } from "../native.js";

const NUMBERS: Readonly<Record<NonNullable<ServiceConfig["protocol"]>, number>> = { tcp: 6, udp: 17 };

/** Which end of a packet is beyond the layer, by the segment that it comes in by. */
export function stuckEnd(stickiness: Stickiness, segment: SegmentName): "source" | "destination" | undefined {
  if (stickiness === "none") return undefined;
  return segment === "external" ? "source" : "destination";
}

/** As the port of a segment takes them. */
export function flowServices(services: readonly ServiceConfig[], segment: SegmentName): readonly FlowService[] {
  return services.map(({ address, protocol, port, assignment, stickiness }) => {
    const end = stuckEnd(stickiness, segment);
    return {
      address,
      policy: assignment,
      ...(protocol !== undefined && port !== undefined && { protocol, port }),
      ...(end !== undefined && { stickiness: end }),
    };
  });
}

/** How all flows get their nodes, and how some services' do. */
export type Ways = readonly { readonly assignment: Assignment; readonly stickiness: Stickiness }[];

/** Whether any flow gets its node from the table of choices. */
export function needsChoices(ways: Ways): boolean {
  return ways.some(({ assignment, stickiness }) => assignment === "balanced" || stickiness !== "none");
}

/** Whether it counts how busy the nodes are: where flows stick together all authorities have to choose alike, and each has heard something else. */
export function countsLoads(ways: Ways): boolean {
  return (
    ways.some(({ assignment }) => assignment === "balanced") && ways.every(({ stickiness }) => stickiness === "none")
  );
}

/** Of a flow whose first packet goes this way: by where it goes to, else by where it comes from; of each end its port before its address (docs/packet-path.md, rule 34). */
export function serviceOf(flow: FlowTuple, services: readonly ServiceConfig[]): ServiceConfig | undefined {
  const ends = [
    { address: flow.destination, port: flow.destinationPort },
    { address: flow.source, port: flow.sourcePort },
  ];
  for (const end of ends) {
    const of = services.filter(({ address }) => address === end.address);
    const exact = of.find(
      ({ protocol, port }) => protocol !== undefined && NUMBERS[protocol] === flow.protocol && port === end.port,
    );
    const found = exact ?? of.find(({ port }) => port === undefined);
    if (found !== undefined) return found;
  }
  return undefined;
}
