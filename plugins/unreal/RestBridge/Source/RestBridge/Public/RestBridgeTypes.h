// SPDX-License-Identifier: MIT
#pragma once

#include "CoreMinimal.h"
#include "RestBridgeTypes.generated.h"

UENUM(BlueprintType)
enum class ERestBridgeState : uint8
{
	/** Not connected. */
	Off,
	/** No daemon was heard of yet. */
	Waiting,
	Live,
	/** The daemon is gone; the last picture stays, and it comes back by itself. */
	Lost
};

/** A place in a line that you want to hear of: a word, a gesture. */
USTRUCT(BlueprintType)
struct RESTBRIDGE_API FRestBridgeMark
{
	GENERATED_BODY()

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Rest Bridge")
	float Seconds = 0.0f;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Rest Bridge")
	FString Name;
};

/** What became of a line. */
USTRUCT(BlueprintType)
struct RESTBRIDGE_API FRestBridgeLineEvent
{
	GENERATED_BODY()

	UPROPERTY(BlueprintReadOnly, Category = "Rest Bridge")
	FString Line;

	/** Of a mark. */
	UPROPERTY(BlueprintReadOnly, Category = "Rest Bridge")
	FString Mark;

	/** How much of the line was spoken, seconds. */
	UPROPERTY(BlueprintReadOnly, Category = "Rest Bridge")
	float Position = 0.0f;

	/** It ended before its time: flushed, run dry, or the daemon went. */
	UPROPERTY(BlueprintReadOnly, Category = "Rest Bridge")
	bool bInterrupted = false;

	/** Why it was never spoken; empty if it was. */
	UPROPERTY(BlueprintReadOnly, Category = "Rest Bridge")
	FString Error;
};

/** For a look at the connection. */
USTRUCT(BlueprintType)
struct RESTBRIDGE_API FRestBridgeStatus
{
	GENERATED_BODY()

	UPROPERTY(BlueprintReadOnly, Category = "Rest Bridge")
	ERestBridgeState State = ERestBridgeState::Off;

	/** Name and version of the daemon. */
	UPROPERTY(BlueprintReadOnly, Category = "Rest Bridge")
	FString Server;

	/** idle, speaking, muted, paused. */
	UPROPERTY(BlueprintReadOnly, Category = "Rest Bridge")
	FString Activity;

	UPROPERTY(BlueprintReadOnly, Category = "Rest Bridge")
	FIntPoint Size = FIntPoint(0, 0);

	UPROPERTY(BlueprintReadOnly, Category = "Rest Bridge")
	float FramesPerSecond = 0.0f;

	/** Pictures that came here. */
	UPROPERTY(BlueprintReadOnly, Category = "Rest Bridge")
	int64 Frames = 0;

	/** Pictures that the daemon made and this program never got. */
	UPROPERTY(BlueprintReadOnly, Category = "Rest Bridge")
	int64 FramesLost = 0;

	/** Pictures that waited for the graphics card too long and were left out. */
	UPROPERTY(BlueprintReadOnly, Category = "Rest Bridge")
	int64 FramesHeldUp = 0;

	/** How often the voice ran dry. */
	UPROPERTY(BlueprintReadOnly, Category = "Rest Bridge")
	int64 VoiceUnderruns = 0;

	/** Why nothing comes, if something is wrong: keys, addresses, versions. */
	UPROPERTY(BlueprintReadOnly, Category = "Rest Bridge")
	FString Problem;
};
