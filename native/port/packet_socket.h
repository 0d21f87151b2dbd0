// AF_PACKET sockets: opening them, for the rings and for what goes beside them; and taking single frames from one.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <optional>
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

// So that receivePacket can put tags back.
void askForTags(const Fd& fd);

// The next frame with its tag, in `buffer`, or nothing when none is waiting or the link went down. Of longer frames than fit behind the room for a tag,
// the beginning.
std::optional<std::span<uint8_t>> receivePacket(const Fd& fd, std::span<uint8_t> buffer);

// Promiscuous as long as the socket is open: the kernel undoes it by itself, also after a kill.
void enterPromiscuous(const Fd& fd, const std::string& interface);

unsigned interfaceIndex(const std::string& interface);

// 0 when it has gone.
uint32_t interfaceMtu(const Fd& fd, const std::string& interface);

}  // namespace rainfront
