// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <vector>

#include "CoreMinimal.h"
#include "Sound/SoundWaveProcedural.h"
#include "RestBridgeVoiceWave.generated.h"

namespace RestBridgeCore
{
	class Session;
}

/** The daemon's voice, pulled by the audio thread as it plays: mono, 48 kHz, 16 bits. */
UCLASS(Transient)
class URestBridgeVoiceWave : public USoundWaveProcedural
{
	GENERATED_BODY()

public:
	URestBridgeVoiceWave(const FObjectInitializer& ObjectInitializer);

	/** Null to fall silent: when this returns, the audio thread no longer uses the old one. */
	void SetSession(std::shared_ptr<RestBridgeCore::Session> InSession);

	//~ USoundWaveProcedural: called on an audio thread.
	virtual int32 OnGeneratePCMAudio(TArray<uint8>& OutAudio, int32 NumSamples) override;

private:
	FCriticalSection Lock;
	std::shared_ptr<RestBridgeCore::Session> Session;
	std::vector<float> Samples;
};
