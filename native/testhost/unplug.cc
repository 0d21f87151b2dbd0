// `unplug`: takes links of its network namespace down, all at one moment, as when a machine loses its power. Tells how far apart they went.
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

#include <sstream>
#include <vector>

#include "arguments.h"
#include "clock.h"
#include "json.h"
#include "network.h"
#include "subcommands.h"
#include "urgency.h"

namespace testhost {
namespace {

std::vector<ifreq> linksUp(const FileDescriptor& socket, const std::string& names) {
  std::vector<ifreq> links;
  std::istringstream list(names);
  for (std::string name; std::getline(list, name, ',');) {
    if (name.empty() || name.size() >= IFNAMSIZ) throw UsageError("--interfaces: " + name + " is no name of an interface");
    ifreq link{};
    name.copy(link.ifr_name, IFNAMSIZ - 1);
    if (ioctl(socket.get(), SIOCGIFFLAGS, &link) < 0) fail("asking for the flags of " + name);
    links.push_back(link);
  }
  return links;
}

}  // namespace

int unplug(int argc, char** argv) {
  const Arguments arguments(argc, argv, {"--interfaces"});
  const FileDescriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
  std::vector<ifreq> links = linksUp(socket, arguments.text("--interfaces"));
  // All but the watch over the CPUs.
  becomeUrgent(sched_get_priority_max(SCHED_FIFO) - 1);
  const Nanoseconds from = now_ns();
  for (ifreq& link : links) {
    link.ifr_flags = static_cast<short>(link.ifr_flags & ~IFF_UP);
    if (ioctl(socket.get(), SIOCSIFFLAGS, &link) < 0) fail(std::string("taking down ") + link.ifr_name);
  }
  Json().open('{').key("from_ms").ms(from).key("to_ms").ms(now_ns()).close('}').printLine();
  return 0;
}

}  // namespace testhost
