// SPDX-License-Identifier: MIT
#include "RestBridgeSession.h"

#include "Misc/FileHelper.h"
#include "Misc/Paths.h"
#include "RestBridgeModule.h"
#include "RestBridgeSettings.h"

namespace RestBridge
{
	static bool ReadKeys(const FString& Path, RestBridgeCore::Keys& Keys, FString& Problem)
	{
		FString Text;
		const FString Full = FPaths::IsRelative(Path) ? FPaths::Combine(FPaths::ProjectDir(), Path) : Path;
		if (!FFileHelper::LoadFileToString(Text, *Full))
		{
			Problem = FString::Printf(TEXT("The key file cannot be read: %s"), *Full);
			return false;
		}
		std::string Error;
		if (!RestBridgeCore::ParseKeys(ToUtf8(Text), &Keys, &Error))
		{
			Problem = FromUtf8(Error);
			return false;
		}
		return true;
	}

	std::shared_ptr<RestBridgeCore::Session> OpenSession(bool bPictures, bool bVoice, FString& Problem)
	{
		if (!FRestBridgeModule::Get().IsLibraryLoaded())
		{
			Problem = TEXT("The native library is missing; the log says where it was looked for.");
			return nullptr;
		}
		const URestBridgeSettings* Settings = GetDefault<URestBridgeSettings>();
		RestBridgeCore::SessionSettings Wanted;
		Wanted.frames = ToUtf8(Settings->Frames);
		Wanted.events = ToUtf8(Settings->Events);
		Wanted.control = ToUtf8(Settings->Control);
		Wanted.speech = ToUtf8(Settings->Speech);
		Wanted.pictures = bPictures;
		Wanted.voice = bVoice;
		Wanted.history_frames = static_cast<uint32_t>(FMath::Clamp(Settings->PicturesKept, 2, 64));
		Wanted.schedule.output_delay_ns = static_cast<int64_t>(Settings->OutputDelayMs * 1e6f);
		Wanted.schedule.cushion_ns = static_cast<int64_t>(Settings->CushionMs * 1e6f);
		if (!Settings->KeyFile.IsEmpty() && !ReadKeys(Settings->KeyFile, Wanted.keys, Problem))
		{
			return nullptr;
		}
		std::string Error;
		std::shared_ptr<RestBridgeCore::Session> Session = RestBridgeCore::Session::Open(Wanted, &Error);
		Problem = FromUtf8(Error);
		return Session;
	}
}
