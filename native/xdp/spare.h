// The program that was loaded to see whether the kernel takes it, kept for the first port: what costs most of a port's start is done once. One in a process;
// for any thread.
#pragma once

#include <memory>

#include "program.h"

namespace rainfront {

// There is one afterwards. Throws what XdpProgram does.
void loadSpareXdp();

// Nothing: none was loaded, or it was taken.
std::unique_ptr<XdpProgram> takeSpareXdp();

}  // namespace rainfront
