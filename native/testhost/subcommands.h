// The subcommands of rainfront-testhost, one file each. They get the arguments after their name and return the exit status.
#pragma once

namespace testhost {

int echo(int argc, char** argv);
int flood(int argc, char** argv);
// Of a build with clang and libbpf only.
int live(int argc, char** argv);
int door(int argc, char** argv);
int observe(int argc, char** argv);
int probe(int argc, char** argv);
int replay(int argc, char** argv);
int standstill(int argc, char** argv);
int stream(int argc, char** argv);
int unplug(int argc, char** argv);

}  // namespace testhost
