// SPDX-License-Identifier: MIT
// From the project's settings to a session, and between the texts of both worlds.
#pragma once

#include <memory>
#include <string>

#include "Core/Session.h"
#include "CoreMinimal.h"

namespace RestBridge
{
	inline std::string ToUtf8(const FString& Text)
	{
		return std::string(TCHAR_TO_UTF8(*Text));
	}

	inline FString FromUtf8(const std::string& Text)
	{
		return FString(UTF8_TO_TCHAR(Text.c_str()));
	}

	/** Null, and one sentence in Problem, if the settings cannot be used. */
	std::shared_ptr<RestBridgeCore::Session> OpenSession(bool bPictures, bool bVoice, FString& Problem);
}
