// `replay`: the observer's arithmetic over a written trace, so that it can be tested without a network. Lines on stdin, times
// in microseconds: `reset T`, `ask T`, `answer SENT MAC-NUMBER ARRIVED`, `announce MAC-NUMBER`, `report T`.
#include <iostream>
#include <map>
#include <sstream>

#include "arguments.h"
#include "ownership_report.h"
#include "subcommands.h"

namespace testhost {
namespace {

Mac numberedMac(unsigned number) { return {0x02, 0, 0, 0, 0, static_cast<uint8_t>(number)}; }

}  // namespace

int replay(int argc, char** argv) {
  const Arguments arguments(argc, argv, {});
  std::vector<ObservedVip> vips(1);
  Ownership& own = vips[0].ownership;
  std::map<Nanoseconds, uint64_t> requests;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string verb;
    Nanoseconds at_us = 0, arrived_us = 0;
    unsigned mac = 0;
    words >> verb;
    if (verb == "ask" && words >> at_us) {
      requests[at_us] = own.asked(at_us * 1000);
    } else if (verb == "answer" && words >> at_us >> mac >> arrived_us && requests.contains(at_us)) {
      own.answered(requests[at_us], at_us * 1000, numberedMac(mac), arrived_us * 1000);
    } else if (verb == "announce" && words >> mac) {
      own.announced(numberedMac(mac));
    } else if (verb == "reset" && words >> at_us) {
      own.reset(at_us * 1000);
    } else if (verb == "report" && words >> at_us) {
      Json json;
      json.open('{');
      writeOwnership(vips, at_us * 1000, json);
      json.close('}').printLine();
    } else {
      throw UsageError("replay: cannot read: " + line);
    }
  }
  return 0;
}

}  // namespace testhost
