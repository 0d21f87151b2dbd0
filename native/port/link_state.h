// Takes an interface up or down, without a process for it: to start one costs a daemon whose memory is locked milliseconds, which its ring has not got.
#pragma once

#include <string>

namespace rainfront {

// Throws PortError: RF_NIC_MISSING, RF_NO_PRIVILEGE, RF_PORT_SOCKET.
void setLinkUp(const std::string& interface, bool is_up);

}  // namespace rainfront
