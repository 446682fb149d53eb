// SPDX-License-Identifier: MIT
#include "RestBridgeVoiceWave.h"

#include "Core/Session.h"

static constexpr int32 GVoiceSamplesPerCall = 1024;

URestBridgeVoiceWave::URestBridgeVoiceWave(const FObjectInitializer& ObjectInitializer)
	: Super(ObjectInitializer)
{
	// Small pieces: what is queued in the engine cannot be taken back when somebody interrupts.
	NumSamplesToGeneratePerCallback = GVoiceSamplesPerCall;
	NumBufferUnderrunSamples = GVoiceSamplesPerCall / 2;
	SampleByteSize = sizeof(int16);
	NumChannels = 1;
	Duration = INDEFINITELY_LOOPING_DURATION;
	SoundGroup = SOUNDGROUP_Voice;
	bLooping = false;
	bProcedural = true;
	VirtualizationMode = EVirtualizationMode::PlayWhenSilent;
	SetSampleRate(static_cast<uint32>(RestBridgeCore::kVoiceRateHz));
	Samples.resize(GVoiceSamplesPerCall);
}

void URestBridgeVoiceWave::SetSession(std::shared_ptr<RestBridgeCore::Session> InSession)
{
	// The old session ends outside the lock: the audio thread must not wait for its threads.
	{
		FScopeLock Guard(&Lock);
		Session.swap(InSession);
	}
}

int32 URestBridgeVoiceWave::OnGeneratePCMAudio(TArray<uint8>& OutAudio, int32 NumSamples)
{
	OutAudio.SetNumUninitialized(NumSamples * static_cast<int32>(sizeof(int16)));
	int16* Out = reinterpret_cast<int16*>(OutAudio.GetData());
	FScopeLock Guard(&Lock);
	if (!Session)
	{
		FMemory::Memzero(Out, static_cast<SIZE_T>(OutAudio.Num()));
		return NumSamples;
	}
	if (Samples.size() < static_cast<size_t>(NumSamples))
	{
		Samples.resize(static_cast<size_t>(NumSamples));
	}
	Session->FillVoice(Samples.data(), static_cast<size_t>(NumSamples), rb_now_ns());
	for (int32 Index = 0; Index < NumSamples; ++Index)
	{
		const float Sample = FMath::Clamp(Samples[static_cast<size_t>(Index)], -1.0f, 1.0f);
		Out[Index] = static_cast<int16>(Sample * 32767.0f);
	}
	return NumSamples;
}
