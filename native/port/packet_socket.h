// Opening AF_PACKET sockets: shared by the receive and the transmit ring.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <span>
#include <string>

#include "fd.h"

namespace rainfront {

// A raw packet socket that is not bound yet, so that nothing arrives before its filter and ring are in place.
Fd openPacketSocket();

// Binds to an interface; `protocol` 0 receives nothing (for transmit-only sockets).
void bindPacketSocket(const Fd& fd, const std::string& interface, uint16_t protocol);

void setPacketOption(const Fd& fd, int option, const void* value, std::size_t size, const char* what);

void attachFilter(const Fd& fd, std::span<const sock_filter> program);

// Promiscuous as long as the socket is open: the kernel undoes it by itself, also after a kill.
void enterPromiscuous(const Fd& fd, const std::string& interface);

unsigned interfaceIndex(const std::string& interface);

// 0 when it has gone.
uint32_t interfaceMtu(const Fd& fd, const std::string& interface);

}  // namespace rainfront
