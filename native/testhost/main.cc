// rainfront-testhost: a plain host on a segment of the lab that watches and measures. Started by lib/lab, one process per job.
#include <cstdio>
#include <string>

#include "arguments.h"
#include "subcommands.h"

namespace {

struct Subcommand {
  const char* name;
  int (*run)(int argc, char** argv);
};

constexpr Subcommand kSubcommands[] = {
    {"echo", testhost::echo},
    {"flood", testhost::flood},
#ifdef RF_HAS_XDP
    {"live", testhost::live},
    {"door", testhost::door},
#endif
    {"observe", testhost::observe},
    {"probe", testhost::probe},
    {"replay", testhost::replay},
    {"standstill", testhost::standstill},
    {"stream", testhost::stream},
    {"unplug", testhost::unplug},
};

constexpr const char* kUsage =
    "usage: rainfront-testhost observe --interface IF --source-ip IP --vips A,B,C [--interval-us 1000]\n"
    "       rainfront-testhost probe --source-ip IP --targets A,B,C [--interval-us 1000]\n"
    "       rainfront-testhost stream --source-ips A,B --targets A,B [--port 7] [--flows 64] [--pps 25000]\n"
    "       rainfront-testhost echo --address IP [--port 7]\n"
    "       rainfront-testhost flood --interface IF --source-mac MAC --destination-mac MAC --source-ip IP --destination-ip IP\n"
    "                                [--count-interface IF] [--flows 1000] [--window 1024] [--duration-ms 5000]\n"
    "       rainfront-testhost live --interface IF --count-interface IF --source-mac MAC --destination-mac MAC --source-ip IP --destination-ip IP\n"
    "                               [--kind udp|udp-answered|tcp-syn|tcp-ack|tcp-handshake] [--flows 1000] [--first-flow 0]\n"
    "                               [--beside 0 (frames, for each of the others) --beside-kind .. --beside-flows .. --beside-first-flow ..]\n"
    "                               [--frames N] [--duration-ms 5000] [--cpu 0]\n"
    "       rainfront-testhost door --interface IF\n"
    "       rainfront-testhost standstill [--cpu 0]\n"
    "       rainfront-testhost replay\n"
    "       rainfront-testhost unplug --interfaces A,B\n"
    "commands of observe, probe, stream, echo and standstill on stdin: mark NAME, report, reset, quit\n";

}  // namespace

int main(int argc, char** argv) {
  try {
    for (const Subcommand& subcommand : kSubcommands) {
      if (argc > 1 && argv[1] == std::string(subcommand.name)) return subcommand.run(argc - 2, argv + 2);
    }
    throw testhost::UsageError(argc > 1 ? std::string("unknown subcommand ") + argv[1] : "no subcommand");
  } catch (const testhost::UsageError& error) {
    fprintf(stderr, "rainfront-testhost: %s\n%s", error.what(), kUsage);
    return 2;
  } catch (const std::exception& error) {
    fprintf(stderr, "rainfront-testhost: %s\n", error.what());
    return 1;
  }
}
